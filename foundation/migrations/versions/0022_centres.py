"""Service centres: contracts, clerks, devices, shifts, proofs of acts, quotas used, fee shares."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _contracts()
    _people_and_devices()
    _shifts()
    _acts()
    _shares()
    _standing()


def _contracts() -> None:
    op.execute(
        """
        CREATE TABLE centre (
            code text CONSTRAINT pk_centre PRIMARY KEY
                CONSTRAINT fk_centre_code REFERENCES api_client (client_id),
            title_ar text NOT NULL,
            title_en text NOT NULL,
            state text NOT NULL CONSTRAINT ck_centre_state CHECK (state IN ('active', 'suspended', 'ended')),
            state_since timestamptz NOT NULL,
            state_reason text NOT NULL,
            added_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE centre_branch (
            centre text NOT NULL CONSTRAINT fk_centre_branch_centre REFERENCES centre (code),
            code text NOT NULL,
            title_ar text NOT NULL,
            title_en text NOT NULL,
            CONSTRAINT pk_centre_branch PRIMARY KEY (centre, code)
        )
        """
    )
    # Days are of Riyadh, and the last one belongs to it. `ended_at` ends it before its time. No two of a
    # centre cover one day; a range of one number stands for its code, which would need an extension.
    op.execute(
        """
        CREATE TABLE centre_contract (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_centre_contract PRIMARY KEY,
            centre text NOT NULL CONSTRAINT fk_centre_contract_centre REFERENCES centre (code),
            reference text NOT NULL,
            first_day date NOT NULL,
            last_day date NOT NULL,
            shifts boolean NOT NULL,
            quota_day integer CONSTRAINT ck_centre_contract_quota_day CHECK (quota_day > 0),
            quota_month integer CONSTRAINT ck_centre_contract_quota_month CHECK (quota_month > 0),
            vat numeric(5, 2) NOT NULL CONSTRAINT ck_centre_contract_vat CHECK (vat BETWEEN 0 AND 100),
            services jsonb NOT NULL,
            branches text[] NOT NULL,
            made_by text NOT NULL,
            made_at timestamptz NOT NULL,
            ended_at timestamptz,
            CONSTRAINT uq_centre_contract_reference UNIQUE (centre, reference),
            CONSTRAINT uq_centre_contract_centre UNIQUE (id, centre),
            CONSTRAINT ck_centre_contract_days CHECK (first_day <= last_day),
            CONSTRAINT ex_centre_contract_days EXCLUDE USING gist (
                int8range(hashtextextended(centre, 0), hashtextextended(centre, 0), '[]') WITH &&,
                daterange(first_day, last_day, '[]') WITH &&
            ) WHERE (ended_at IS NULL)
        )
        """
    )


def _people_and_devices() -> None:
    # `personal` is his name, `secret` what his password digests are reckoned with: both sealed. `subject` is
    # the blind index of his identifier: in a centre one person is one clerk.
    op.execute(
        """
        CREATE TABLE centre_clerk (
            centre text NOT NULL,
            clerk text NOT NULL,
            branch text NOT NULL,
            personal bytea NOT NULL,
            subject bytea CONSTRAINT ck_centre_clerk_subject CHECK (octet_length(subject) = 32),
            secret bytea NOT NULL,
            active boolean NOT NULL,
            added_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            CONSTRAINT pk_centre_clerk PRIMARY KEY (centre, clerk),
            CONSTRAINT uq_centre_clerk_subject UNIQUE (centre, subject),
            CONSTRAINT fk_centre_clerk_branch FOREIGN KEY (centre, branch)
                REFERENCES centre_branch (centre, code)
        )
        """
    )
    # A secret that opens nothing any more still proves what was done with it.
    op.execute(
        """
        CREATE TABLE clerk_secret_before (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_clerk_secret_before PRIMARY KEY,
            centre text NOT NULL,
            clerk text NOT NULL,
            secret bytea NOT NULL,
            ended_at timestamptz NOT NULL,
            CONSTRAINT fk_clerk_secret_before_clerk FOREIGN KEY (centre, clerk)
                REFERENCES centre_clerk (centre, clerk)
        )
        """
    )
    op.execute("CREATE INDEX ix_clerk_secret_before_clerk ON clerk_secret_before (centre, clerk)")
    op.execute(
        """
        CREATE TABLE clerk_key (
            thumbprint text CONSTRAINT pk_clerk_key PRIMARY KEY,
            centre text NOT NULL,
            clerk text NOT NULL,
            public_key bytea NOT NULL,
            added_at timestamptz NOT NULL,
            revoked_at timestamptz,
            CONSTRAINT fk_clerk_key_clerk FOREIGN KEY (centre, clerk) REFERENCES centre_clerk (centre, clerk)
        )
        """
    )
    op.execute("CREATE INDEX ix_clerk_key_clerk ON clerk_key (centre, clerk)")
    op.execute(
        """
        CREATE TABLE centre_device (
            centre text NOT NULL,
            code text NOT NULL,
            branch text NOT NULL,
            title text NOT NULL,
            active boolean NOT NULL,
            added_at timestamptz NOT NULL,
            CONSTRAINT pk_centre_device PRIMARY KEY (centre, code),
            CONSTRAINT fk_centre_device_branch FOREIGN KEY (centre, branch)
                REFERENCES centre_branch (centre, code)
        )
        """
    )


def _shifts() -> None:
    op.execute(
        """
        CREATE TABLE centre_shift (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_centre_shift PRIMARY KEY,
            centre text NOT NULL,
            branch text NOT NULL,
            clerk text NOT NULL,
            device text NOT NULL,
            opened_at timestamptz NOT NULL,
            opening_float numeric(14, 2) NOT NULL
                CONSTRAINT ck_centre_shift_float CHECK (opening_float >= 0),
            moved_in numeric(14, 2) NOT NULL DEFAULT 0,
            moved_out numeric(14, 2) NOT NULL DEFAULT 0,
            closed_at timestamptz,
            closed_by text,
            counted numeric(14, 2) CONSTRAINT ck_centre_shift_counted CHECK (counted >= 0),
            note text,
            CONSTRAINT fk_centre_shift_branch FOREIGN KEY (centre, branch)
                REFERENCES centre_branch (centre, code),
            CONSTRAINT fk_centre_shift_clerk FOREIGN KEY (centre, clerk)
                REFERENCES centre_clerk (centre, clerk),
            CONSTRAINT fk_centre_shift_device FOREIGN KEY (centre, device)
                REFERENCES centre_device (centre, code),
            CONSTRAINT ck_centre_shift_moved CHECK (moved_in >= 0 AND moved_out >= 0
                AND opening_float + moved_in - moved_out >= 0),
            CONSTRAINT ck_centre_shift_closed CHECK ((closed_at IS NULL) = (counted IS NULL)
                AND (closed_at IS NULL) = (closed_by IS NULL))
        ) WITH (fillfactor = 80)
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_centre_shift_clerk ON centre_shift (centre, clerk) WHERE closed_at IS NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_centre_shift_device ON centre_shift (centre, device) WHERE closed_at IS NULL"
    )
    op.execute("CREATE INDEX ix_centre_shift_opened ON centre_shift (centre, opened_at, id)")
    op.execute(
        """
        CREATE TABLE centre_shift_movement (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_centre_shift_movement PRIMARY KEY,
            shift_id bigint NOT NULL CONSTRAINT fk_centre_shift_movement_shift REFERENCES centre_shift (id),
            direction text NOT NULL
                CONSTRAINT ck_centre_shift_movement_direction CHECK (direction IN ('in', 'out')),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_centre_shift_movement_amount CHECK (amount > 0),
            reason text NOT NULL,
            at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_centre_shift_movement_shift ON centre_shift_movement (shift_id, id)")


def _acts() -> None:
    # Of cases that are there no clerk was told.
    op.execute("ALTER TABLE case_file ADD COLUMN clerk text")
    op.execute(
        """
        CREATE TABLE act_proof (
            digest bytea CONSTRAINT pk_act_proof PRIMARY KEY
                CONSTRAINT ck_act_proof_digest CHECK (octet_length(digest) = 32),
            caller text NOT NULL,
            clerk text,
            proof jsonb NOT NULL,
            at timestamptz NOT NULL
        )
        """
    )
    # What a centre opened, under which contract, where and by whom; the share that was agreed by then.
    op.execute(
        """
        CREATE TABLE centre_application (
            case_id bigint CONSTRAINT pk_centre_application PRIMARY KEY
                CONSTRAINT fk_centre_application_case REFERENCES case_file (id),
            contract_id bigint NOT NULL,
            centre text NOT NULL,
            service text NOT NULL,
            branch text NOT NULL,
            clerk text NOT NULL,
            device text,
            shift_id bigint CONSTRAINT fk_centre_application_shift REFERENCES centre_shift (id),
            percent numeric(5, 2) NOT NULL
                CONSTRAINT ck_centre_application_percent CHECK (percent BETWEEN 0 AND 100),
            fixed numeric(14, 2) NOT NULL CONSTRAINT ck_centre_application_fixed CHECK (fixed >= 0),
            at timestamptz NOT NULL,
            CONSTRAINT fk_centre_application_contract FOREIGN KEY (contract_id, centre)
                REFERENCES centre_contract (id, centre)
        )
        """
    )
    op.execute("CREATE INDEX ix_centre_application_at ON centre_application (centre, at)")
    # `period` is a day (2026-11-23) or a month (2026-11) of Riyadh; `service` is empty for all together.
    op.execute(
        """
        CREATE TABLE centre_quota_use (
            contract_id bigint NOT NULL
                CONSTRAINT fk_centre_quota_use_contract REFERENCES centre_contract (id),
            service text NOT NULL,
            period text NOT NULL
                CONSTRAINT ck_centre_quota_use_period CHECK (period ~ '^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$'),
            used integer NOT NULL CONSTRAINT ck_centre_quota_use_used CHECK (used > 0),
            CONSTRAINT pk_centre_quota_use PRIMARY KEY (contract_id, period, service)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        """
        CREATE TABLE centre_refusal (
            centre text NOT NULL CONSTRAINT fk_centre_refusal_centre REFERENCES centre (code),
            day date NOT NULL,
            kind text NOT NULL,
            clerk text NOT NULL,
            times integer NOT NULL CONSTRAINT ck_centre_refusal_times CHECK (times > 0),
            last_at timestamptz NOT NULL,
            CONSTRAINT pk_centre_refusal PRIMARY KEY (centre, day, kind, clerk)
        ) WITH (fillfactor = 50)
        """
    )


def _shares() -> None:
    # The first line is what makes a share accrue once: one row a case.
    op.execute(
        """
        CREATE TABLE centre_share (
            case_id bigint CONSTRAINT pk_centre_share PRIMARY KEY
                CONSTRAINT fk_centre_share_application REFERENCES centre_application (case_id),
            bill_number text NOT NULL,
            net numeric(14, 2) NOT NULL CONSTRAINT ck_centre_share_net CHECK (net > 0),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_centre_share_amount CHECK (amount > 0),
            day date NOT NULL,
            accrued_at timestamptz NOT NULL,
            taken_back_day date,
            taken_back_at timestamptz,
            CONSTRAINT ck_centre_share_taken_back CHECK ((taken_back_day IS NULL) = (taken_back_at IS NULL))
        )
        """
    )
    op.execute("ALTER TABLE case_ledger DROP CONSTRAINT ck_case_ledger_account")
    op.execute(
        """
        ALTER TABLE case_ledger ADD CONSTRAINT ck_case_ledger_account
            CHECK (account = 'revenue:' || fee OR (fee IS NULL AND (account LIKE 'payable:_%' OR account IN
                ('receivable', 'bank', 'vat', 'suspense', 'refunds_payable', 'centre_share'))))
        """
    )
    op.execute("CREATE INDEX ix_case_ledger_payable ON case_ledger (account) WHERE account LIKE 'payable:_%'")


def _standing() -> None:
    # One statement of the program, and two here: whoever waits for a change of the centre (a suspension, a
    # key that is revoked) must see what that change wrote. Each query of a volatile function has a snapshot
    # of its own. The lock is one that waiters take in turn: who writes all the time cannot keep a suspension
    # waiting. Certificates come with the next step; the body is read when it first runs.
    op.execute(
        """
        CREATE FUNCTION centre_standing(
            of_centre text, of_centre_key text, of_clerk text, of_key text, of_device text, of_day date,
            of_moment timestamptz
        ) RETURNS TABLE (
            state text, contract bigint, reference text, first_day date, last_day date, ended_at timestamptz,
            shifts boolean, vat numeric, quota_day integer, quota_month integer, services jsonb,
            branches text[],
            centre_key_good boolean, clerk_active boolean, clerk_branch text, clerk_subject bytea,
            key_good boolean, device_active boolean, device_branch text, shift bigint
        ) LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM centre WHERE centre.code = of_centre) THEN
                RETURN;
            END IF;
            PERFORM pg_advisory_xact_lock_shared(5, hashtext(of_centre));
            RETURN QUERY
                SELECT centre.state, agreed.id, agreed.reference, agreed.first_day, agreed.last_day,
                       agreed.ended_at, agreed.shifts, agreed.vat, agreed.quota_day, agreed.quota_month,
                       agreed.services, agreed.branches,
                       EXISTS (
                           SELECT FROM client_certificate AS held
                           WHERE held.client_id = of_centre AND held.revoked_at IS NULL
                               AND of_centre_key IN (held.thumbprint, held.key_thumbprint)
                               AND of_moment BETWEEN held.not_before AND held.not_after
                       ),
                       clerk.active, clerk.branch, clerk.subject,
                       key.thumbprint IS NOT NULL AND key.revoked_at IS NULL, device.active,
                       device.branch, shift.id
                FROM centre
                LEFT JOIN LATERAL (
                    SELECT * FROM centre_contract AS each WHERE each.centre = centre.code
                    ORDER BY (each.ended_at IS NULL AND of_day BETWEEN each.first_day AND each.last_day) DESC,
                             (each.first_day <= of_day) DESC, each.last_day DESC
                    LIMIT 1
                ) AS agreed ON true
                LEFT JOIN centre_clerk AS clerk ON clerk.centre = centre.code AND clerk.clerk = of_clerk
                LEFT JOIN clerk_key AS key ON key.centre = centre.code AND key.clerk = of_clerk
                    AND key.thumbprint = of_key
                LEFT JOIN centre_device AS device ON device.centre = centre.code AND device.code = of_device
                LEFT JOIN centre_shift AS shift ON shift.centre = centre.code AND shift.clerk = of_clerk
                    AND shift.device = of_device AND shift.closed_at IS NULL
                WHERE centre.code = of_centre;
        END $$
        """
    )
